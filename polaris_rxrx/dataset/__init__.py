"""RxRx3-core on disk: its files, its wells, its affinity table, and a made-up sandbox of the same shape."""
