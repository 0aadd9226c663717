"""The honest bar of this field: rules without weights and one ridge map. Ordinary plugins, no torch.

All give quantiles: the rules from the errors that the same rule made inside the context, the ridge map from its
training residuals. Quantiles are differences added to the point forecast, so they never cross.
"""
