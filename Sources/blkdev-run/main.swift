print("blkdev-run")
