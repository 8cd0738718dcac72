"""Plain references of published algorithms, written from their descriptions alone.

Each is what a competent reader of the description would write with NumPy, SciPy, torch and MONAI: no work is added to make it
slow, none of the published work is left out. ``benchmarks/README.md`` says what each is compared with.
"""
