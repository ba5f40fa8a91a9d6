"""MyANN: the class of the article series, a description of a Trainer in its names."""

from fastmlp.myann.myann import MyANN as MyANN
