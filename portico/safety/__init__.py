"""What texts are judged by: rules of our own, and a guard model where the operator has one."""
