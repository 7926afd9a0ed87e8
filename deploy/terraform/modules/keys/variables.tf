variable "name" {
  description = "What everything of the region is called."
  type        = string
}
