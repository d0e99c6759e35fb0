Name = 1
