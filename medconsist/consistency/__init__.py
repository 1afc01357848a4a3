"""The shared heart: splits of evidence, teachers, agreement, contrast, prototypes, schedules.

Tensors in, tensors out; knows no modality and no physics. A consistency is Split (who sees what)
x Target (who answers) x Agreement (how far apart) x Gate (when it counts) x Schedule.
"""
