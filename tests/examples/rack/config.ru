run ->(env) { [200, { "content-type" => "text/plain" }, ["tea: #{env["PATH_INFO"]}\n"]] }
