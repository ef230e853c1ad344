"""Pictures of what a model looked at.

`explanation` names the files that show it: open that first. `heatmap` colours a map,
`sheet` lays pictures side by side.
"""
