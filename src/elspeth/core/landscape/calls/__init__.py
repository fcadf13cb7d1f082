"""External calls on record: journaled as they complete, summed up, answered from."""
