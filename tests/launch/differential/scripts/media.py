"""Images with captions and boxes; Html, audio, video, molecules, points and histograms."""
#: own_online = true

import wave

import numpy
import wandb
from PIL import Image

with wave.open("a.wav", "wb") as file:
    file.setparams((1, 2, 8000, 0, "NONE", ""))
    file.writeframes(bytes(1600))
with open("a.mp4", "wb") as file:
    file.write(bytes(100))
with open("a.pdb", "w") as file:
    file.write("ATOM      1  N   ALA A   1      11.104   6.134  -6.504  1.00  0.00           N\n")
pixels = numpy.arange(8 * 8 * 3, dtype=numpy.uint8).reshape(8, 8, 3)
Image.fromarray(pixels).save("a.png")

run = wandb.init()
run.log({"page": wandb.Html("<p>hello</p>", inject=False), "sound": wandb.Audio("a.wav", caption="silence")})
run.log({"film": wandb.Video("a.mp4", format="mp4"), "molecule": wandb.Molecule("a.pdb")})
run.log({"points": wandb.Object3D(numpy.arange(12.0).reshape(4, 3))})
run.log({"weights": wandb.Histogram(numpy.arange(100.0)), "given": wandb.Histogram(np_histogram=([1, 2], [0, 1, 2]))})
run.log({"array": wandb.Image(pixels, caption="an array"), "file": wandb.Image("a.png")})
run.log({"many": [wandb.Image(pixels + k, caption=str(k)) for k in range(3)]})
box = {"position": {"minX": 0.1, "maxX": 0.5, "minY": 0.1, "maxY": 0.5}, "class_id": 1, "scores": {"p": 0.5}}
boxes = {"prediction": {"box_data": [box], "class_labels": {1: "cat"}}}
run.log({"deep/in/folders": wandb.Image(pixels, boxes=boxes)})
run.finish()
