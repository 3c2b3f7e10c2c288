"""Inspect, the part "Confidence": what calibration means and what each score says, in words."""

from lab.analysis.metrics import BINS

MEANING = """
**Calibration.** A network gives its answer a probability: its *confidence*. It is well calibrated
if, of all answers that it gives with 80 % confidence, 80 % are right. Networks that were trained
long on few images are often *over-confident*: they say 95 % and are right 85 % of the time.

**The diagram.** Images are put into 15 bins by confidence. Each mark is a bin: how sure the
network was on average (across), how often it was right (up). On the dotted line it is as sure as
it is right; below the line it is too sure. The area of a mark, and the bars beneath, are how many
images it stands for.

**Why marks with few images wobble.** Of 4 images with 80 % confidence, 2, 3 or 4 may well be right
by luck: 50, 75 or 100 %. The thin lines are 95 % intervals; a mark whose line reaches the dotted
line shows nothing. Bins of equally many images wobble alike, but the sure ones lie close together.

**The scores.** *Log loss*: how little probability the true class got; being sure and wrong costs
most. *Brier score*: squared distance of the probabilities from the truth, 0 to 2. *ECE* (expected
calibration error): the mean distance of the marks from the dotted line, weighted by images.
Log loss and Brier judge right answers and honest confidence together, ECE honesty alone: a network
that always gave the classes' shares would have an ECE near 0 and be of no use.

**Temperature scaling** divides the network's logits by one number T before they become
probabilities. T above 1 makes it less sure. The order of the classes stays, so not one answer
changes. Here T is fitted on random halves of the validation images, and each image is scored with
temperatures from the halves that it was not in. (Logits count only up to a constant per image, and
the logarithms of the probabilities are such logits: that is what is divided here.)
"""
HELP = {
    "accuracy": "Share of right answers. A temperature changes no answer.",
    "too sure by": "Mean confidence minus accuracy, in points. Below 0: not sure enough.",
    "log loss": "How little probability the true classes got; lower is better.",
    "change of log loss": "Against the plain answers on the same images; below 0 is better.",
    "Brier": "Squared distance of the probabilities from the truth, 0 to 2; lower is better.",
    "ECE": f"Expected calibration error over {BINS} bins of equal width; lower is better.",
    "adaptive ECE": f"The same over {BINS} bins of equally many images.",
    "by chance": "The ECE that a perfectly calibrated network would show on so many images.",
    "T": "The temperature for use from now on, fitted on all of these images.",
}
