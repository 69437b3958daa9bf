"""How the embedded model is made: generators, corpus, training, evaluation."""
