/* What was chosen in this browser; without a choice the system's. Runs before the first paint, so nothing flashes. */
{
  const chosen = localStorage.getItem('lockstep-theme');
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset['theme'] = chosen;
}
