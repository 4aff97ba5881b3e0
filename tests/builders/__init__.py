"""What several tests build upon. Nothing here is a test."""
