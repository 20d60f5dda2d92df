"""Takes in the notifications of a real Dataverse, runs the steps they call for, and writes their changes back."""
