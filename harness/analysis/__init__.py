"""From a study's record to every number that a report shows. Nothing here prints, draws or writes."""
