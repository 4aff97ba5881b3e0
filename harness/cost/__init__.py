"""What a variant costs at a stated geometry: parameters, MACs, memory, and time.

The geometry is the paper's (ResNet-50, 224x224) whatever the study trains, so that costs of all studies compare.
`python -m harness.cost STUDY` measures all of it. Imports nothing here: `--help` is quick.
"""
