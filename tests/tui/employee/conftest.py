"""Puts the helpers of this folder where the tests of its features can import them."""
