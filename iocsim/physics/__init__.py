"""Physics of beam, sample and detector."""
