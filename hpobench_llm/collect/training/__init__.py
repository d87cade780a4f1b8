"""What every family that trains needs: text, a device, a schedule, a clock, memory."""
