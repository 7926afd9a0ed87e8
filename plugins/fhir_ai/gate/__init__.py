"""Gate: the one way to models elsewhere: off unless set up, without names, recorded, in time, never decisive."""
