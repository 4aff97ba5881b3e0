"""Clips that this project makes itself: what they show, how they are written, and how they are found again."""
