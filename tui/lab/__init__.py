"""Throwaway engines and file systems for benchmarks."""
