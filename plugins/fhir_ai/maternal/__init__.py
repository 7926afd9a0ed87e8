"""Pregnancies: followed by the feed, judged by published criteria, with alerts that end."""
