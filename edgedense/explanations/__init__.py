"""Pictures of what a model looked at.

`explanation` names the files that show it: open that first. `colormap` colours a heatmap,
`contact_sheet` lays pictures side by side.
"""
