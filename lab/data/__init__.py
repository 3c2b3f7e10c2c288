"""From files to labelled pictures: sources, audit, split, decode-once stores. No torch in here.

dataset = materialise(workspace, recipe.dataset)         # lab.data.catalog
divided = parts(dataset, recipe.dataset.split, "")       # lab.data.split
store = train_store(workspace, dataset, divided.train, 160)      # lab.data.stores
"""
