"""What the pinned tools are (declarations), and the three ways to get one: already there, downloaded, built."""
