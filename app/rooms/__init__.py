"""A space and the devices in it: find it, see how it is, find out what is wrong."""
