"""Statistics over patients: intervals, paired comparisons, ranks and skill. The unit is the patient, never the window.

Each module stands alone: ``bootstrap`` (intervals of scores and of differences), ``paired_tests`` (Wilcoxon with Holm's
correction), ``ranks`` (Friedman and Nemenyi) with its picture ``critical_difference``, ``skill`` (skill score and win
rate) and ``diebold_mariano`` (one series).
"""
