"""What the product is made of: its packages, their licences, and what is known against them."""
