-- Cancels a job: at once when it is queued, through its worker's inbox when it runs.
--
-- KEYS[1]  the job's hash   {ff}:job:<id>
-- ARGV[1]  job id           ARGV[2]  "cancel" or "kill"      ARGV[3]  reason, for people
--
-- Returns "cancelled", "cancelling", "late", "ended" or "unknown".
return cancel(ARGV[1], ARGV[2], ARGV[3])
