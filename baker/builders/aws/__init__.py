"""The EC2 builder; boto3 is imported here and nowhere else, and not before it is needed."""
