"""Many flights at once through the street, on the state that gated sensing paths estimate."""
