"""The Azure builder; the SDK is imported here and nowhere else, and not before it is needed."""
