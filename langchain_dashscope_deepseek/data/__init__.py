"""Data: the model profiles, and frequent runs of Chinese characters, to estimate tokens."""
