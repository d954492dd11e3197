# Stands for `rails tailwindcss:watch`.
$stdout.puts "watching app/assets on a #{$stdout.tty? ? "terminal" : "pipe"}"
Signal.trap("TERM") { exit }
sleep
