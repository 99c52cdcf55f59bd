"""What several programs share; nothing here is run by itself."""
