//! Killed at every kind of fact, and at random.
