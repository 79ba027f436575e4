"""Metrics as pure functions of arrays: lips and sound, picture and picture, signs of life.

Knows no models, no files and no time of day; needs numpy alone.
"""
