"""The generated data set: real encoded videos, written once and then read like any other."""
