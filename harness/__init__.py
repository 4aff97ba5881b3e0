"""How temporal operators are compared: data, training, scheduling, tracking and reports."""
