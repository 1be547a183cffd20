"""The risk store, the mining of risks, and the page where people review them."""
