"""What a report says, a file a part of it."""
