mod edges;
mod folders;
mod hand;
mod naive;
mod real;
