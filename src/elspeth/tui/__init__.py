"""The terminal face that stays open: runs, the lineage of a row, experiments; live while a run goes on."""
