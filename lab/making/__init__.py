"""Makes the parts of the lab that need more than the standard library.

Runs in the lab's own virtual environment (requirements.txt beside this file), on Debian's own Python:

    python -m lab.making PART FOLDER [CHANNEL]
"""
