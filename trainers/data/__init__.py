"""From labelled files to exact streams of microbatches; what a row means is the task's."""
