"""What every stage stands on: configuration, seeding, atomic files, tables, progress, checkpoints."""
