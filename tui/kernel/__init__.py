"""The Linux system calls that Python's os module lacks, and how a path is opened where the kernel lacks them."""
