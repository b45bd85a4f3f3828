//! Every metric's name, type, labels and help; README's table is made from it.
